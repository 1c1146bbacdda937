"""FAQ 10: the architecture alone, as JSON that people can read and edit."""

import json

import torchkeras as keras


def test_to_json_and_back():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)])
    json_string = model.to_json()
    same = keras.models.model_from_json(json_string)
    assert same.get_config() == model.get_config()
    assert [w.shape for w in same.get_weights()] == [w.shape for w in model.get_weights()]


def test_edited_by_hand():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    text = model.to_json(indent=2)
    assert text.count("\n") > 20
    description = json.loads(text)
    description["config"]["layers"][1]["config"]["units"] = 5
    for layer in description["config"]["layers"]:
        layer.pop("build_config", None)
    edited = keras.models.model_from_json(json.dumps(description))
    assert edited.get_weights()[0].shape == (4, 5)
