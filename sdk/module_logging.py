from codeproject_ai_sdk.module_logging import *
