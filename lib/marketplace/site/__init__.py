"""The market as a real HTTP site on loopback: what the crawler is run and tested against."""
