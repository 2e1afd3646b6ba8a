"""MediaWiki exports as a source of document edits: two snapshots of one wiki, joined."""
