"""Cost engines: one file per form of engine, found by scanning; a device file's ``engines`` names them.

To add one, write a file with a class that follows :class:`perfmodel.cost.engines.base.Engine` and is decorated with
:func:`perfmodel.cost.engines.registry.register`, here or in a folder that ``PERFMODEL_ENGINES`` names.
"""
