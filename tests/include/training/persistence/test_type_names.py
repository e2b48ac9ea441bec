from importlib import import_module

from include.training.persistence import type_names
from include.training.persistence.type_names import TYPES, module_path, stored_name


def test_every_stored_name_leads_to_a_class_of_today_and_back():
    for name, path in TYPES.items():
        module, _, qualified = path.rpartition(".")
        found = getattr(import_module(module), qualified)
        assert (found.__module__, found.__qualname__) == (module, qualified)
        assert module_path(stored_name(path)) == path
        assert stored_name(path) == f"ratchet.{name}"


def test_a_name_that_files_of_release_0_1_use_is_never_lost():
    assert len(type_names._RELEASE_0_1) == 17
    assert set(type_names._RELEASE_0_1.values()) <= set(TYPES)


def test_types_of_other_libraries_keep_their_names():
    assert module_path(stored_name("sklearn.pipeline.Pipeline")) == "sklearn.pipeline.Pipeline"
