"""The one exception for what a user can cause and mend; everything else is a defect and keeps its traceback."""


class UserError(Exception):
    """A mistake in configuration, input or order of commands.

    The message is one sentence that names the value, the place and the fix. Jobs print it alone and exit with 2.
    """
