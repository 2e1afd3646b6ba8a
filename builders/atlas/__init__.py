"""An embedded world of countries, their flags and facts about them, usable without a network."""
