#!/usr/bin/env python3
"""Django's command line, on the settings of the platform in the data folder if there is one."""

import sys

from qcloud.cli import django_command

if __name__ == "__main__":
    django_command(sys.argv)
