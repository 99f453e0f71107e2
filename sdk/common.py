from codeproject_ai_sdk.common import *
