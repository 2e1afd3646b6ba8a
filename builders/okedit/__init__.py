"""OKEDIT-style multimodal edit records: an image, a question, a new answer, and what judges it."""
