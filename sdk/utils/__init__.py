from codeproject_ai_sdk.utils import *
