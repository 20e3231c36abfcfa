"""The adapters that come along; each module's `plugin` is an entry point of `artemon.adapters`."""
