"""Sources of OKEDIT-style records: one file each, a `Source` to read and a `World` to ask."""
