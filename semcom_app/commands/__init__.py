"""The subcommands of `semcom`, one module each with a `register(app)` function."""
