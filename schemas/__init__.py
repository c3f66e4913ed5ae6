"""What data looks like: the catalogue, the layouts, the columns between stages and of the outputs."""
