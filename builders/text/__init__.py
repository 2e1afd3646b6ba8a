"""Text generators: one protocol, an OpenAI-compatible endpoint, its cache, budget and batches.

`protocol` says what a generator is; `endpoint` asks a server; `collect` and `batch` ask a whole
build at once through the Batch API. Nothing here knows which data set the text is for.
"""
