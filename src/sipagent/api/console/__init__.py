"""The console: pages in the browser, rendered here, for whoever is on duty."""
