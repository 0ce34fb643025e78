"""What comes back from a host: a run's journal and files, as they grow, into a home of it. A host is not believed."""
