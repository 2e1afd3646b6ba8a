"""DocMEdit-style document edits: articles at two dates, and the facts that explain the change."""
