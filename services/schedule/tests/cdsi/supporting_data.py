"""Invented supporting data in the CDC's XML: one antigen and a schedule, as small as they can be."""

from pathlib import Path

SCHEDULE = """<scheduleSupportingData>
<liveVirusConflicts><liveVirusConflict>
  <previous><vaccineType>Blue</vaccineType><cvx>901</cvx></previous>
  <current><vaccineType>Red</vaccineType><cvx>7</cvx></current>
  <conflictBeginInterval>1 day</conflictBeginInterval>
  <minConflictEndInterval>24 days</minConflictEndInterval>
  <conflictEndInterval>28 days</conflictEndInterval>
</liveVirusConflict></liveVirusConflicts>
<vaccineGroups><vaccineGroup><name>Colour</name><administerFullVaccineGroup>n/a</administerFullVaccineGroup></vaccineGroup></vaccineGroups>
<vaccineGroupToAntigenMap>
  <vaccineGroupMap><name>Colour</name><antigen>Redness </antigen><antigen>Nobody knows</antigen></vaccineGroupMap>
</vaccineGroupToAntigenMap>
<cvxToAntigenMap><cvxMap><cvx>07</cvx><shortDescription>Red</shortDescription>
  <association><antigen>Redness</antigen><associationBeginAge>n/a</associationBeginAge><associationEndAge>50 years</associationEndAge></association>
</cvxMap></cvxToAntigenMap>
<observations><observation><observationCode>055</observationCode><observationTitle>Painter</observationTitle>
  <codedValues><codedValue><code>106028002</code><codeSystem>SNOMED</codeSystem><text>Painter</text></codedValue></codedValues>
  <codedValues><codedValue><code>07</code><codeSystem>CVX</codeSystem><text>Red</text></codedValue></codedValues></observation></observations>
<somethingNew><unheard>of</unheard></somethingNew>
</scheduleSupportingData>"""

DOSE_1 = """<seriesDose>
  <doseNumber>Dose 1</doseNumber>
  <age><absMinAge>6 weeks - 4 days</absMinAge><minAge>6 weeks</minAge><earliestRecAge>2 months</earliestRecAge>
    <latestRecAge>3 months + 4 weeks</latestRecAge><maxAge>n/a</maxAge><effectiveDate/><cessationDate/></age>
  <interval/><allowableInterval/>
  <preferableVaccine><vaccineType>Red</vaccineType><cvx>07</cvx><beginAge>6 weeks</beginAge><endAge/><tradeName/>
    <mvx>MSD</mvx><volume>0.5</volume><forecastVaccineType>Y</forecastVaccineType></preferableVaccine>
  <allowableVaccine/><inadvertentVaccine/><conditionalSkip/><recurringDose>No</recurringDose><seasonalRecommendation/>
</seriesDose>"""

DOSE_2 = """<seriesDose>
  <doseNumber>Dose 2</doseNumber>
  <age/>
  <interval><fromPrevious>Y</fromPrevious><fromTargetDose/><fromMostRecent/><fromRelevantObs/>
    <absMinInt>4 weeks - 4 days</absMinInt><minInt>4 weeks</minInt><earliestRecInt>8 weeks</earliestRecInt><latestRecInt/>
    <intervalPriority>override</intervalPriority><effectiveDate>20200101</effectiveDate><cessationDate/></interval>
  <interval><fromPrevious>N</fromPrevious><fromMostRecent>Blue (901); 07;</fromMostRecent><minInt>1 week</minInt></interval>
  <interval><fromPrevious>N</fromPrevious><fromRelevantObs><text>Since</text><code>120</code></fromRelevantObs>
    <minInt>1 year</minInt></interval>
  <allowableInterval><fromPrevious>N</fromPrevious><fromTargetDose>1</fromTargetDose><absMinInt>4 weeks</absMinInt></allowableInterval>
  <preferableVaccine><vaccineType>Red</vaccineType><cvx>7</cvx></preferableVaccine>
  <allowableVaccine><vaccineType>Blue</vaccineType><cvx>901</cvx><beginAge>2 months - 4 days</beginAge></allowableVaccine>
  <inadvertentVaccine><vaccineType>Green</vaccineType><cvx>902</cvx></inadvertentVaccine>
  <conditionalSkip><context>Forecast</context><setLogic>n/a</setLogic><set><setID>1</setID><conditionLogic>AND</conditionLogic>
    <condition><conditionType>Age</conditionType><beginAge>7 years</beginAge></condition>
    <condition><conditionType>Vaccine Count By Age</conditionType><doseCount>1</doseCount><doseType>valid</doseType>
      <doseCountLogic>Greater Than</doseCountLogic><vaccineTypes>07; 901;</vaccineTypes></condition></set></conditionalSkip>
  <conditionalSkip><context>Both</context><setLogic>OR</setLogic><set><conditionLogic/>
    <condition><conditionType>Completed Series</conditionType><seriesGroups>2</seriesGroups></condition></set></conditionalSkip>
  <recurringDose>Yes</recurringDose>
  <seasonalRecommendation><startDate>20250701</startDate><endDate>20260630</endDate></seasonalRecommendation>
</seriesDose>"""

ANTIGEN = f"""<antigenSupportingData>
<immunity><clinicalHistory><guidelineCode>020</guidelineCode><guidelineTitle>Proof</guidelineTitle></clinicalHistory>
  <dateOfBirth><immunityBirthDate>01/31/1957</immunityBirthDate><birthCountry>Utopia</birthCountry>
    <exclusion><exclusionCode>055</exclusionCode></exclusion></dateOfBirth></immunity>
<contraindications>
  <vaccineGroup><contraindication><observationCode>080</observationCode><beginAge/><endAge>8 months</endAge></contraindication></vaccineGroup>
  <vaccine><contraindication><observationCode>091</observationCode>
    <contraindicatedVaccine><cvx>7</cvx><beginAge>2 years</beginAge><endAge/></contraindicatedVaccine></contraindication></vaccine>
</contraindications>
<series>
  <seriesName>Red 2-dose series</seriesName><targetDisease>Redness</targetDisease><vaccineGroup>Colour</vaccineGroup>
  <seriesType>Risk</seriesType><equivalentSeriesGroups>2; 3;</equivalentSeriesGroups>
  <requiredGender>Female</requiredGender><requiredGender>Unknown</requiredGender>
  <selectSeries><defaultSeries>Yes</defaultSeries><productPath>No</productPath><seriesGroupName>Standard</seriesGroupName>
    <seriesGroup>1</seriesGroup><seriesPriority>B</seriesPriority><seriesPreference>3</seriesPreference>
    <minAgeToStart/><maxAgeToStart>12 months - 4 days</maxAgeToStart></selectSeries>
  <indication><observationCode><text>Painter</text><code>055</code></observationCode><beginAge>2 years</beginAge><endAge>n/a</endAge></indication>
  {DOSE_1}
  {DOSE_2}
</series>
</antigenSupportingData>"""


def write(folder: Path, antigen: str = ANTIGEN, schedule: str = SCHEDULE) -> Path:
    """A folder with these two files."""
    folder.mkdir(exist_ok=True)
    (folder / "AntigenSupportingData- Redness.xml").write_text(antigen, encoding="utf-8")
    (folder / "ScheduleSupportingData.xml").write_text(schedule, encoding="utf-8")
    return folder
