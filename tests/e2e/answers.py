"""Short forms for what tests say about answers."""

import contextlib

from botocore.exceptions import ClientError

# Since 2026 the real service writes this before most request-validation errors of PutItem and UpdateItem, and of no
# other operation.
ENVELOPE = "1 validation error detected: "


def refusal(call, **parameters):
    """Calls and returns the (code, message) of the error it must end with."""
    try:
        answer = call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    raise AssertionError(f"accepted: {answer}")


@contextlib.contextmanager
def refused(code, message=None):
    """A block that must end with an error of this code and exactly this message."""
    try:
        yield
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        if message is not None:
            assert error.response["Error"]["Message"] == message
        return
    raise AssertionError("accepted")


def S(value):
    """A string."""
    return {"S": value}


def N(value):
    """A number."""
    return {"N": str(value)}


def every_page(call, **parameters):
    """All answers of a paged Query or Scan."""
    while True:
        page = call(**parameters)
        yield page
        if "LastEvaluatedKey" not in page:
            return
        parameters["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def every_item(call, **parameters):
    """All items of a paged Query or Scan."""
    return [item for page in every_page(call, **parameters) for item in page["Items"]]
