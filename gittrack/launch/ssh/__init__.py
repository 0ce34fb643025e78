"""The link to a host by SSH. The one door of fabric and paramiko."""
