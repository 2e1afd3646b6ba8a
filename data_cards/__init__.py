"""Templates of data cards, filled from a data set's manifest."""
