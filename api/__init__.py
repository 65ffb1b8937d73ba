"""How Shoal is reached: GraphQL over HTTP and websockets, the command line, the page."""
