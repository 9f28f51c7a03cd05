// A separate file, because the Content-Security-Policy forbids inline scripts.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#operations",
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  // The page calls no other host, and stores no token.
  validatorUrl: null,
  persistAuthorization: false,
});
