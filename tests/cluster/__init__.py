"""Several Partita nodes on a FoundationDB cluster of several processes, all of which are killed while clients work."""
