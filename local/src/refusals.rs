//! What the local cloud leaves out of the template, each with its reason. The template itself keeps all of it.

use serde_json::Value;

/// Resource types that the emulator refuses: one of them and it refuses the whole stack.
const REFUSED_TYPES: [(&str, &str); 23] = [
    (
        "AWS::ApiGatewayV2::Deployment",
        "stages deploy themselves (AutoDeploy)",
    ),
    ("AWS::ApiGatewayV2::IntegrationResponse", "not modelled"),
    ("AWS::ApiGatewayV2::Model", "not modelled"),
    ("AWS::ApiGatewayV2::RouteResponse", "not modelled"),
    (
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "provisioned concurrency has no meaning on one machine",
    ),
    (
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "provisioned concurrency has no meaning on one machine",
    ),
    ("AWS::Budgets::Budget", "nothing costs here"),
    (
        "AWS::CloudTrail::Trail",
        "no audit trail of a developer's machine",
    ),
    ("AWS::CloudWatch::CompositeAlarm", "not modelled"),
    (
        "AWS::CodeDeploy::Application",
        "a local deployment is at once",
    ),
    (
        "AWS::CodeDeploy::DeploymentGroup",
        "a local deployment is at once",
    ),
    ("AWS::Cognito::LogDeliveryConfiguration", "not modelled"),
    (
        "AWS::Cognito::UserPoolIdentityProvider",
        "no outside identity provider is reachable",
    ),
    (
        "AWS::Cognito::UserPoolRiskConfigurationAttachment",
        "not modelled",
    ),
    ("AWS::Events::Archive", "not modelled"),
    ("AWS::Events::EventBusPolicy", "not modelled"),
    (
        "AWS::GuardDuty::MalwareProtectionPlan",
        "files-events looks into files itself",
    ),
    (
        "AWS::Kinesis::StreamConsumer",
        "shared throughput serves as well here",
    ),
    (
        "AWS::Lambda::CodeSigningConfig",
        "packages are made on this machine",
    ),
    ("AWS::Logs::QueryDefinition", "not modelled"),
    ("AWS::ResourceGroups::Group", "not modelled"),
    (
        "AWS::WAFv2::WebACLAssociation",
        "no firewall in front of loopback",
    ),
    ("AWS::XRay::SamplingRule", "not modelled"),
];

/// Resources that the emulator refuses for one of their properties.
const REFUSED_SHAPES: [(&str, &str, &str); 1] = [(
    "AWS::CloudWatch::Alarm",
    "Metrics",
    "metric math is not modelled",
)];

/// Properties of functions that the local cloud leaves out.
pub const FUNCTION_PROPERTIES: [(&str, &str); 4] = [
    (
        "AutoPublishAlias",
        "without CodeDeploy an alias would pin the first version; a second `up` changes $LATEST",
    ),
    ("DeploymentPreference", "needs CodeDeploy"),
    ("CodeSigningConfigArn", "packages are made on this machine"),
    ("ProvisionedConcurrencyConfig", "needs an alias"),
];

/// Why the emulator would refuse a resource, if it would.
pub fn refusal(kind: &str, properties: &Value) -> Option<&'static str> {
    let by_type = REFUSED_TYPES
        .iter()
        .find(|(refused, _)| *refused == kind)
        .map(|(_, reason)| *reason);
    let shape = REFUSED_SHAPES
        .iter()
        .find(|(refused, property, _)| *refused == kind && properties.get(property).is_some());
    by_type.or(shape.map(|(.., reason)| *reason))
}
