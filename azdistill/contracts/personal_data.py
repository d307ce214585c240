"""Field of the steps that look for personal data in texts."""

from typing import Annotated, Literal

from pydantic import Field

PersonalData = Annotated[
    Literal["off", "report", "redact"],
    Field(
        description="Personal data with a pattern (e-mail, telephone, IBAN, credit card, IP address, national ids): "
        "report counts them, redact replaces them by tags such as <EMAIL>."
    ),
]
