from codeproject_ai_sdk.utils.image_utils import *
