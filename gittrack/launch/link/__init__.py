"""What is needed of a host, as one protocol; which host is meant; and the link to this machine, which is one too."""
