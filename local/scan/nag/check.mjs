// Runs cdk-nag's AwsSolutions and Serverless packs over an expanded template and prints each violation
// as {rule, resource, message}: node check.mjs expanded.json
import { App, Stack } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { AwsSolutionsChecks, ServerlessChecks } from "cdk-nag";

const stack = new Stack(new App(), "Fleet");
new CfnInclude(stack, "T", { templateFile: process.argv[2] });

const findings = [AwsSolutionsChecks, ServerlessChecks]
  .flatMap((Pack) => new Pack(stack).validateScope(stack).violations)
  .flatMap(({ ruleName, description, violatingResources }) =>
    violatingResources.map(({ constructPath }) => ({
      rule: ruleName,
      resource: constructPath.split("/").at(-1),
      message: description,
    })),
  );
console.log(JSON.stringify(findings, null, 1));
