"""Converts a workbook with pyxform: convert.py WORKBOOK FORM [mend].

With `mend`, what newer versions of pyxform refuse is made good first, as our lenient reader does: choices of one name
are let pass, of two columns that mean the same the first counts, and a column of another tool is left out.
"""

import sys
from pathlib import Path

from pyxform import aliases, xls2json_backends, xls2xform
from pyxform.builder import create_survey_element_from_dict
from pyxform.xls2json import workbook_to_json


def mended(workbook):
    sheets = xls2json_backends.get_xlsform(workbook)
    settings = dict(next(iter(sheets.settings), {})) if sheets.settings else {}
    settings["allow_choice_duplicates"] = "yes"
    sheets.settings, sheets.settings_header = [settings], [dict.fromkeys(settings)]
    headers = [dict.fromkeys(header) for header in sheets.survey_header or []]
    seen = {}
    for header in headers:
        for name in list(header):
            meaning = aliases.survey_header.get(name, name)
            meaning = meaning if isinstance(meaning, str) else "::".join(meaning)
            if name == "labelReport" or seen.setdefault(meaning, name) != name:
                del header[name]
                for row in sheets.survey:
                    row.pop(name, None)
    sheets.survey_header = headers
    return sheets


workbook, form = Path(sys.argv[1]), Path(sys.argv[2])
warnings = []
if "mend" in sys.argv[3:]:
    sheets = mended(workbook)
    data = workbook_to_json(workbook_dict=sheets, fallback_form_name="data", warnings=warnings)
    form.write_text(create_survey_element_from_dict(data).to_xml(warnings=warnings), encoding="utf-8")
else:
    form.write_text(xls2xform.convert(workbook, warnings=warnings).xform, encoding="utf-8")
