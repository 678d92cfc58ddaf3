"""Which file of this package has which family, so that one network imports one file; a contract test holds it."""

HOMES = {
    "resnet": "resnet",
}
