"""Model editors behind one interface."""
