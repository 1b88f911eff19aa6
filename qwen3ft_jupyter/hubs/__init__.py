"""What the hubs say: names, listings and where a file's bytes can be asked for."""
