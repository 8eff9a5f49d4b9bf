"""What a folder of predictions holds: names of its files, numbers, tables."""
