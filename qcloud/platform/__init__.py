"""The platform on one machine: its data folder, its servers, its processes.

Everything here is for the embedded default. In production each part is started by
whoever runs the cluster, and only the settings of ``qcloud.settings`` are used.
"""
