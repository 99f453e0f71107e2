from codeproject_ai_sdk.module_options import *
