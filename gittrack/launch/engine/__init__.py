"""The Docker engine of a host: what it is like, its containers and its images. The one door of the docker library."""
