// Deploys a release of offboard with your own configuration:
//
//   release/    offboard-stack-VERSION-ARCHITECTURE.zip of a release, unpacked
//   config/     your offboard.toml, and in providers/ kinds of your own
//
//   npm ci && npm run build && npx cdk deploy --parameters AlarmEmail=you@example.com

import * as path from "node:path";
import * as cdk from "aws-cdk-lib";
import * as assets from "aws-cdk-lib/aws-s3-assets";
import * as sam from "aws-cdk-lib/aws-sam";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { Construct } from "constructs";

interface OffboardProps extends cdk.StackProps {
  /** Folder of the unpacked release. */
  readonly release: string;
  /** Folder with offboard.toml and providers/. All of it becomes the configuration layer. */
  readonly configuration: string;
  /** Values of the template's parameters. One that is not named has the template's default. */
  readonly parameters?: Record<string, string | number>;
}

/** The release's own template, so that alarms and permissions are those of the release. */
class Offboard extends cdk.Stack {
  constructor(scope: Construct, id: string, props: OffboardProps) {
    super(scope, id, props);
    const template = new CfnInclude(this, "Template", { templateFile: path.join(props.release, "template.yaml") });
    const code = new assets.Asset(this, "Code", { path: path.join(props.release, "function.zip") });
    const configuration = new assets.Asset(this, "OwnConfiguration", { path: props.configuration });

    for (const name of ["Function", "Provisioning"]) {
      const lambda = template.getResource(name) as sam.CfnFunction;
      lambda.codeUri = { bucket: code.s3BucketName, key: code.s3ObjectKey };
    }
    const layer = template.getResource("Configuration") as sam.CfnLayerVersion;
    layer.contentUri = { bucket: configuration.s3BucketName, key: configuration.s3ObjectKey };

    for (const [name, value] of Object.entries(props.parameters ?? {})) {
      template.getParameter(name).default = value;
    }
  }
}

const app = new cdk.App();
const folder = (key: string, fallback: string) => path.resolve(app.node.tryGetContext(key) ?? fallback);
new Offboard(app, "offboard", {
  release: folder("release", "release"),
  configuration: folder("configuration", "config"),
  parameters: { LogRetentionDays: 400 },
});
