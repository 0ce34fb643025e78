#!/usr/bin/env bash
# Ceph with a gateway that speaks S3, on one machine, in memory: ceph.sh EMPTY-DIR MON-PORT MON-PORT2 S3-PORT KEY SECRET
# Stop it by the pid files in EMPTY-DIR/run. Needs ceph-mon, ceph-mgr, ceph-osd, radosgw and ceph-common, as root.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd) mon=$2 old=$3 port=$4 key=$5 secret=$6
mkdir -p "$dir"/{mon,mgr,osd0,run,log}
cd "$dir"
cat > ceph.conf <<END
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:127.0.0.1:$mon,v1:127.0.0.1:$old]
mon initial members = a
public addr = 127.0.0.1
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
osd data = $dir/osd0
run dir = $dir/run
admin socket = $dir/run/\$name.asok
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
crash dir = $dir/run
mon data = $dir/mon
mgr data = $dir/mgr
keyring = $dir/keyring
END
conf=(-c "$dir/ceph.conf")
all=(--cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *')
ceph-authtool --create-keyring keyring --gen-key -n mon. --cap mon 'allow *'
ceph-authtool keyring --gen-key -n client.admin "${all[@]}"
ceph-authtool keyring --gen-key -n mgr.a --cap mon 'allow profile mgr' --cap osd 'allow *'
ceph-authtool keyring --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' --cap mgr 'allow profile osd'
ceph-authtool keyring --gen-key -n client.rgw --cap mon 'allow rw' --cap osd 'allow rwx'
monmaptool --create --fsid "$(sed -n 's/^fsid = //p' ceph.conf)" --addv a "[v2:127.0.0.1:$mon,v1:127.0.0.1:$old]" monmap
ceph-mon "${conf[@]}" --mkfs -i a --monmap monmap --keyring keyring
ceph-mon "${conf[@]}" -i a
uuid=$(cat /proc/sys/kernel/random/uuid)
printf '{"cephx_secret":"%s"}' "$(ceph-authtool keyring -n osd.0 --print-key)" > secret.json
timeout 60 ceph "${conf[@]}" osd new "$uuid" -i secret.json
ceph-osd "${conf[@]}" -i 0 --mkfs --osd-uuid "$uuid"
ceph "${conf[@]}" osd crush add osd.0 1.0 root=default host=h
ceph-osd "${conf[@]}" -i 0
ceph-mgr "${conf[@]}" -i a
for _ in $(seq 100); do ceph "${conf[@]}" osd stat | grep -q '1 up' && break; sleep 0.2; done
cp keyring run/keyring
radosgw "${conf[@]}" -n client.rgw --rgw_frontends="beast endpoint=127.0.0.1:$port" --rgw_data="$dir/run"
for _ in $(seq 300); do (: < "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.2; done
radosgw-admin "${conf[@]}" user create --uid=t --display-name=t --access-key="$key" --secret-key="$secret"
