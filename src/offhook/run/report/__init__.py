"""What is kept of a call for people: its account, and the page that is made of it."""
