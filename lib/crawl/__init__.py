"""The crawl: which addresses to ask for, how politely, and what their pages say."""
