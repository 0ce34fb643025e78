"""The image in which a job runs: from what is known of a project and a host to one that is there, built if need be."""
