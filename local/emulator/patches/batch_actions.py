"""Lets whoever may do a thing to one message do it to ten.

IAM knows no action of its own for the batch calls of SQS: `sqs:SendMessage` allows `SendMessageBatch`, and so
on. The emulator asks for the name of the call, which no policy that is right on AWS grants.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
"""

from ministack.core import iam_actions

from . import guard

OF_ONE = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}


def _extracting(original):
    def extract(*args, **kwargs):
        action = original(*args, **kwargs)
        return OF_ONE.get(action, action)

    return extract


def apply() -> None:
    guard.replace(iam_actions, "extract_iam_action", "ec476b92d969", _extracting)
