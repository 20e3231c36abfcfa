"""The sample: a small shop of books in four services and three versions of one of them."""
