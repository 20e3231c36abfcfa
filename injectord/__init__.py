"""injectord: the mutating webhook that gives pods a proxy."""
