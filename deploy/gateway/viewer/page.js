// The Content-Security-Policy allows no script inside the page itself.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#operations",
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  // No other host is ever asked, and no token outlives the page.
  validatorUrl: null,
  persistAuthorization: false,
});
