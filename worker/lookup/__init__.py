"""What we ask the DNS: the only importer of dnspython, and of dkimpy, which has its own."""
