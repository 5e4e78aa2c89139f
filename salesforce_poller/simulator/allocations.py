"""What `/limits` reports: the labels of a Developer Edition org and how much of each there is.

Read by `routes.resources`. Source: REST API Developer Guide, "List Organization Limits". Only DailyApiRequests and
DailyBulkV2QueryJobs are ever used up here.
"""

MAXIMA: dict[str, int] = {
    "AnalyticsExternalDataSizeMB": 40960,
    "CdpAiInferenceApiMonthlyLimit": 500000000,
    "ConcurrentAsyncGetReportInstances": 200,
    "ConcurrentEinsteinDataInsightsStoryCreation": 5,
    "ConcurrentEinsteinDiscoveryStoryCreation": 2,
    "ConcurrentSyncReportRuns": 20,
    "ContentDistBandwidthLimitMB": 20480,
    "ContentDistViewLimit": 50000,
    "ContentPublicationLimit": 50000,
    "DailyAnalyticsDataflowJobExecutions": 60,
    "DailyAnalyticsUploadedFilesSizeMB": 51200,
    "DailyApexCursorLimit": 10000,
    "DailyApexCursorRowsLimit": 100000000,
    "DailyApexPCursorLimit": 200000,
    "DailyAsyncApexExecutions": 250000,
    "DailyAsyncApexTests": 500,
    "DailyBulkApiBatches": 15000,
    "DailyBulkV2QueryFileStorageMB": 976562,
    "DailyBulkV2QueryJobs": 10000,
    "DailyDeliveredPlatformEvents": 10000,
    "DailyDurableGenericStreamingApiEvents": 10000,
    "DailyDurableStreamingApiEvents": 10000,
    "DailyEinsteinDataInsightsStoryCreation": 1000,
    "DailyEinsteinDiscoveryOptimizationJobRuns": 25,
    "DailyEinsteinDiscoveryPredictAPICalls": 50000,
    "DailyEinsteinDiscoveryPredictionsByCDC": 500000,
    "DailyEinsteinDiscoveryStoryCreation": 100,
    "DailyFunctionsApiCallLimit": 235000,
    "DailyGenericStreamingApiEvents": 10000,
    "DailyMetadataRetrievesWithDependencies": 10000,
    "DailyServiceEmailAgentforceCalls": 10000,
    "DailyStandardVolumePlatformEvents": 10000,
    "DailyStreamingApiEvents": 10000,
    "DailyWorkflowEmails": 390,
    "DataStorageMB": 5,
    "DurableStreamingApiConcurrentClients": 20,
    "ExternalServicesActiveObjects": 5000,
    "ExternalServicesActiveOperations": 1000,
    "ExternalServicesObjectProperties": 500000,
    "ExternalServicesObjects": 25000,
    "ExternalServicesOperations": 25000,
    "ExternalServicesRegistrations": 150,
    "FileStorageMB": 20,
    "HourlyAsyncReportRuns": 1200,
    "HourlyDashboardRefreshes": 200,
    "HourlyDashboardResults": 5000,
    "HourlyDashboardStatuses": 999999999,
    "HourlyElevateAsyncReportRuns": 2000,
    "HourlyElevateSyncReportRuns": 500,
    "HourlyLongTermIdMapping": 100000,
    "HourlyManagedContentPublicRequests": 50000,
    "HourlyODataCallout": 1000,
    "HourlyPublishedPlatformEvents": 50000,
    "HourlyPublishedStandardVolumePlatformEvents": 1000,
    "HourlyShortTermIdMapping": 100000,
    "HourlySyncReportRuns": 500,
    "HourlyTimeBasedWorkflow": 50,
    "MassEmail": 10,
    "MaxContentDocumentsLimit": 10000000,
    "MonthlyEinsteinDiscoveryStoryCreation": 500,
    "Package2VersionCreates": 6,
    "Package2VersionCreatesWithoutValidation": 500,
    "PermissionSets": 1500,
    "PlatformEventTriggersWithParallelProcessing": 5,
    "PrivateConnectOutboundCalloutHourlyLimitMB": 0,
    "PublishCallbackUsageInApex": 5242880,
    "ScheduledFlowRunLimit": 250000,
    "ScheduledPathRunLimit": 250000,
    "SingleEmail": 15,
    "StreamingApiConcurrentClients": 20,
}
CUSTOM_PERMISSION_SETS = 1000


def report(used: int, allowance: int, *, query_jobs: int) -> dict[str, dict[str, object]]:
    """Every limit, in alphabetical order, with `used` of the allowance of API requests gone, and so many query jobs."""
    limits: dict[str, dict[str, object]] = {
        label: {"Max": maximum, "Remaining": maximum} for label, maximum in MAXIMA.items()
    }
    limits["DailyApiRequests"] = {"Max": allowance, "Remaining": max(0, allowance - used)}
    limits["DailyBulkV2QueryJobs"]["Remaining"] = max(0, MAXIMA["DailyBulkV2QueryJobs"] - query_jobs)
    limits["PermissionSets"]["CreateCustom"] = {"Max": CUSTOM_PERMISSION_SETS, "Remaining": CUSTOM_PERMISSION_SETS}
    return dict(sorted(limits.items()))
