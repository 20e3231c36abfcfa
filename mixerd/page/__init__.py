"""The page that shows who calls whom."""
