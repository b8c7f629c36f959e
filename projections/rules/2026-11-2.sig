releve/rules/v1
2026-11-2
b0c6ce7409cafe5d0b7e6e7ecac04f6c6484d066113403e80bc86cd44720f710

— releve-rules mMY1z/5FD3nTNHGuUMkl/vSab51b074yCnd6R4Fu1P/+AihRFOzAmZzkNF8wncQ/aEDlPwCOxWrX+JTBnz1CV/OntwE=
