"""Runs on other machines: reaching a host, sending code, starting a container there, bringing its record back."""
