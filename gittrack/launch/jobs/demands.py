"""Whether a host can give what a job asks for, said before anything is built. Pure."""

from gittrack.compare.text import count, size
from gittrack.errors import HostFailed
from gittrack.launch.engine.containers import Options
from gittrack.launch.engine.host_facts import Look


def check(look: Look, options: Options, host: str) -> None:
    """Raises HostFailed. What is not known of the host is left to its engine."""
    if look.system and look.system != "linux":
        raise HostFailed(
            f"the containers of {host} are those of {look.system}", "jobs need an engine for Linux containers", "system"
        )
    if options.cpus and look.cpus and options.cpus > look.cpus:
        raise HostFailed(f"{host} has {count(look.cpus, 'CPU')}, not {options.cpus:g}", "ask for less: --cpus", "limit")
    if options.memory and look.memory and options.memory > look.memory:
        raise HostFailed(
            f"{host} has {size(look.memory)} of memory, not {size(options.memory)}", "ask for less: --memory", "limit"
        )
    if options.gpus:
        _check_gpus(look, options.gpus, host)


def _check_gpus(look: Look, wanted: tuple[str, ...], host: str) -> None:
    if not look.driver:
        raise HostFailed(
            f"{host} has no NVIDIA driver, so no GPU for a job",
            "choose another host, or run without: --gpus none",
            "no-gpu",
        )
    if not look.gpus or wanted == ("all",):  # nvidia-smi may be missing where the driver is not
        return
    for each in wanted:
        if not any(gpu.is_called(each) for gpu in look.gpus) and not each.startswith("MIG-"):
            there = ", ".join(str(gpu.number) for gpu in look.gpus)
            raise HostFailed(f"{host} has no GPU {each}; it has {there}", "name one of these, or --gpus all", "no-gpu")
